# AZR_SANITIZE=ON: address and undefined-behaviour sanitizers in the broker, the C++ tests and the fuzz
# targets. The zygote takes another form: a program's limit on address space leaves no room for the
# shadow memory of the address sanitizer, and the locked root none for its reports. It is compiled on its
# own, and what is undefined there traps: the program that met it ends as a crash by SIGILL.
option(AZR_SANITIZE "Address and undefined-behaviour sanitizers, for tests" OFF)

define_property(TARGET PROPERTY AZR_TRAPS
  BRIEF_DOCS "With AZR_SANITIZE: undefined behaviour traps, no address sanitizer")

function(azr_sanitize target)
  if(NOT AZR_SANITIZE)  # which need the shared C++ library
    target_link_options(${target} INTERFACE -static-libstdc++ -static-libgcc)
    return()
  endif()
  set(traps $<BOOL:$<TARGET_PROPERTY:AZR_TRAPS>>)
  target_compile_options(${target} INTERFACE -O1 -g1 -UNDEBUG -fsanitize=undefined
    "$<IF:${traps},-fsanitize-undefined-trap-on-error,-fsanitize=address;-fno-sanitize-recover=all;-fno-omit-frame-pointer>")
  target_link_options(${target} INTERFACE
    "$<IF:${traps},-static-libstdc++;-static-libgcc,-fsanitize=address;-fsanitize=undefined>")
endfunction()

# Links `executable` with `libraries`; sanitized, with copies of their sources of its own that trap.
function(azr_link_zygote executable)
  if(NOT AZR_SANITIZE)
    target_link_libraries(${executable} PRIVATE ${ARGN})
    return()
  endif()
  set_target_properties(${executable} PROPERTIES AZR_TRAPS ON)
  foreach(library IN LISTS ARGN)
    get_target_property(sources ${library} SOURCES)
    target_sources(${executable} PRIVATE ${sources})
    target_include_directories(${executable} PRIVATE
      $<TARGET_PROPERTY:${library},INTERFACE_INCLUDE_DIRECTORIES>)
  endforeach()
  target_link_libraries(${executable} PRIVATE azr_options azr_embed)
endfunction()
