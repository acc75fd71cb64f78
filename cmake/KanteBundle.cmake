# kante_bundle(NAME [MANIFEST file] [DATA folder])
#
# Packs the module that target NAME builds into <build>/modules/NAME.kmod, signed with the development key
# of this build folder, which is made on first use.  MANIFEST defaults to manifest.json beside the
# CMakeLists.txt; DATA becomes the bundle's data/.  Target `modules` builds all of them.
set(KANTE_MODULES_DIR ${PROJECT_BINARY_DIR}/modules)
set(KANTE_DEV_KEYS_DIR ${PROJECT_BINARY_DIR}/dev-keys)

# `kante` as a command, not as a file dependency: a new host neither makes new keys nor packs again.
foreach(pair signer:bundles deployer:documents)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 stem)
  list(GET pair 1 use)
  add_custom_command(
    OUTPUT ${KANTE_DEV_KEYS_DIR}/${stem}.key ${KANTE_DEV_KEYS_DIR}/${stem}.pem
    COMMAND ${CMAKE_COMMAND} -E rm -f ${KANTE_DEV_KEYS_DIR}/${stem}.key ${KANTE_DEV_KEYS_DIR}/${stem}.pem
    COMMAND kante key init --for ${use} --dir ${KANTE_DEV_KEYS_DIR} --name "Kante development ${stem}"
            > ${PROJECT_BINARY_DIR}/key-init-${stem}.log 2>&1
    COMMENT "Making the development key for ${use}" VERBATIM)
endforeach()
add_custom_target(kante_dev_keys ALL DEPENDS
  ${KANTE_DEV_KEYS_DIR}/signer.key ${KANTE_DEV_KEYS_DIR}/deployer.key)

# The name of this machine in bundles.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64)$")
  set(KANTE_ARCH amd64)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(KANTE_ARCH arm64)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^arm")
  set(KANTE_ARCH armhf)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^riscv64$")
  set(KANTE_ARCH riscv64)
else()
  message(FATAL_ERROR "Kante does not know the architecture ${CMAKE_SYSTEM_PROCESSOR}")
endif()

function(kante_bundle name)
  cmake_parse_arguments(B "" "MANIFEST;DATA" "" ${ARGN})
  if(NOT B_MANIFEST)
    set(B_MANIFEST ${CMAKE_CURRENT_SOURCE_DIR}/manifest.json)
  endif()
  get_filename_component(B_MANIFEST ${B_MANIFEST} ABSOLUTE)
  set(stage ${CMAKE_CURRENT_BINARY_DIR}/${name}.bundle)
  set(bundle ${KANTE_MODULES_DIR}/${name}.kmod)
  set(data_commands)
  set(data_files)
  if(B_DATA)
    get_filename_component(B_DATA ${B_DATA} ABSOLUTE)
    file(GLOB_RECURSE data_files CONFIGURE_DEPENDS ${B_DATA}/*)
    set(data_commands COMMAND ${CMAKE_COMMAND} -E copy_directory ${B_DATA} ${stage}/data)
  endif()
  add_custom_command(
    OUTPUT ${bundle}
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${stage}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${stage}/lib/${KANTE_ARCH} ${KANTE_MODULES_DIR}
    COMMAND ${CMAKE_COMMAND} -E copy ${B_MANIFEST} ${stage}/manifest.json
    COMMAND ${CMAKE_STRIP} --strip-debug -o ${stage}/lib/${KANTE_ARCH}/module.so $<TARGET_FILE:${name}>
    ${data_commands}
    COMMAND kante bundle pack ${stage} -o ${bundle}
            --key ${KANTE_DEV_KEYS_DIR}/signer.key --cert ${KANTE_DEV_KEYS_DIR}/signer.pem
            > ${stage}.log
    DEPENDS ${name} $<TARGET_FILE:${name}> ${B_MANIFEST} ${data_files} kante_dev_keys ${KANTE_DEV_KEYS_DIR}/signer.pem
    COMMENT "Packing ${name}.kmod" VERBATIM)
  add_custom_target(${name}_bundle DEPENDS ${bundle})
  add_dependencies(modules ${name}_bundle)
endfunction()
