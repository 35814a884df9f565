# Installs the systemd units, with the path of the daemon as it is installed now: the prefix may be
# chosen by `cmake --install --prefix`.
set(AZR_UNITS_DIR share/azr-sandboxd/systemd)
install(FILES systemd/azr-sandboxd.socket systemd/azr-sandboxd.conf DESTINATION ${AZR_UNITS_DIR})
install(CODE "
  file(READ \"${CMAKE_CURRENT_SOURCE_DIR}/systemd/azr-sandboxd.service\" unit)
  get_filename_component(bin \"\${CMAKE_INSTALL_PREFIX}/${AZR_SCRIPTS_DIR}\" ABSOLUTE)
  string(REPLACE /usr/local/bin/ \"\${bin}/\" unit \"\${unit}\")
  file(WRITE \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${AZR_UNITS_DIR}/azr-sandboxd.service\" \"\${unit}\")
")
