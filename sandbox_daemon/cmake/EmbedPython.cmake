# Finds the interpreter to embed and defines `azr_embed`: pybind11 headers, a libpython, and the facts
# baked into the zygote (home, version). Order: static libpython with its symbols exported, so that
# extension modules load; else the shared one.
if(DEFINED PYTHON_EXECUTABLE AND NOT DEFINED Python_EXECUTABLE)
  set(Python_EXECUTABLE "${PYTHON_EXECUTABLE}")
endif()
find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)

function(azr_ask_python variable code)
  execute_process(COMMAND "${Python_EXECUTABLE}" -c "${code}" OUTPUT_VARIABLE answer
    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(${variable} "${answer}" PARENT_SCOPE)
endfunction()
function(azr_python_config variable key)
  azr_ask_python(answer "import sysconfig; print(sysconfig.get_config_var('${key}') or '')")
  set(${variable} "${answer}" PARENT_SCOPE)
endfunction()

if(NOT pybind11_DIR)
  azr_ask_python(pybind11_DIR "import pybind11; print(pybind11.get_cmake_dir())")
endif()
set(PYBIND11_FINDPYTHON ON)
find_package(pybind11 CONFIG REQUIRED)

azr_ask_python(azr_home "import sys; p, e = sys.base_prefix, sys.base_exec_prefix; print(p if p == e else p + ':' + e)")
azr_ask_python(azr_python_version "import platform; print(platform.python_version())")
azr_python_config(azr_libpl LIBPL)
azr_python_config(azr_libdir LIBDIR)
azr_python_config(azr_library LIBRARY)
azr_python_config(azr_ldlibrary LDLIBRARY)
azr_python_config(azr_python_libs LIBS)
azr_python_config(azr_python_syslibs SYSLIBS)
azr_python_config(azr_python_modlibs MODLIBS)
separate_arguments(azr_python_libs UNIX_COMMAND "${azr_python_modlibs} ${azr_python_libs} ${azr_python_syslibs} -ldl -lm -lutil -lpthread")
list(FILTER azr_python_libs EXCLUDE REGEX "^-Wl,-rpath")
list(FILTER azr_python_libs EXCLUDE REGEX "^[^-/].*\\.a$")  # Ubuntu's: of the folder that built it

add_library(azr_embed INTERFACE)
target_link_libraries(azr_embed INTERFACE pybind11::headers)
target_include_directories(azr_embed SYSTEM INTERFACE ${Python_INCLUDE_DIRS})
target_compile_options(azr_embed INTERFACE -fvisibility=hidden)
target_compile_definitions(azr_embed INTERFACE
  AZR_PYTHON_HOME="${azr_home}" AZR_PYTHON_VERSION="${azr_python_version}")

# Whether an interpreter links from the static library `archive` with `flags`: some archives are not
# position-independent, some are of another compiler's intermediate code.
include(CheckCXXSourceCompiles)
function(azr_static_links result archive flags)
  set(CMAKE_REQUIRED_QUIET ON)
  set(CMAKE_REQUIRED_LINK_OPTIONS -rdynamic ${flags})
  set(CMAKE_REQUIRED_LIBRARIES
    -Wl,--whole-archive "${archive}" -Wl,--no-whole-archive ${azr_python_libs})
  check_cxx_source_compiles("extern \"C\" int Py_IsInitialized(); int main() { return Py_IsInitialized(); }"
    ${result})
  set(${result} "${${result}}" PARENT_SCOPE)
endfunction()

string(REGEX REPLACE "\\.a$" "-pic.a" azr_pic_library "${azr_library}")
set(azr_static_archive "")
foreach(archive IN ITEMS "${azr_libpl}/${azr_pic_library}" "${azr_libpl}/${azr_library}")
  if(azr_static_archive STREQUAL "" AND archive MATCHES "\\.a$" AND EXISTS "${archive}")
    string(MAKE_C_IDENTIFIER "azr_links_${archive}" check)
    azr_static_links(${check} "${archive}" "")
    azr_static_links(${check}_no_pie "${archive}" "-no-pie")
    if(${check} OR ${check}_no_pie)
      set(azr_static_archive "${archive}")
      set(azr_static_flags -rdynamic $<$<NOT:$<BOOL:${${check}}>>:-no-pie>)
    endif()
  endif()
endforeach()

if(azr_static_archive)
  message(STATUS "azr-zygote embeds ${azr_python_version} from ${azr_static_archive}")
  target_link_libraries(azr_embed INTERFACE
    -Wl,--whole-archive "${azr_static_archive}" -Wl,--no-whole-archive ${azr_python_libs})
  target_link_options(azr_embed INTERFACE ${azr_static_flags})
elseif(EXISTS "${azr_libdir}/${azr_ldlibrary}")
  message(STATUS "azr-zygote embeds ${azr_python_version} from ${azr_libdir}/${azr_ldlibrary}")
  target_link_libraries(azr_embed INTERFACE "${azr_libdir}/${azr_ldlibrary}" ${azr_python_libs})
else()
  message(FATAL_ERROR "no libpython for ${Python_EXECUTABLE}: install the development files of "
    "this Python (python3-dev), or use one built with --enable-shared or with its static library")
endif()
