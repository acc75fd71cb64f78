# How a module is built: the same functions inside Kante's own tree and with find_package(Kante).
#
#   kante_add_module(NAME SOURCES a.cc …)              the shared library NAME.so
#   kante_add_module_test(NAME MODULE m SOURCES t.cc)  a GoogleTest program with the module linked in
#   kante_add_bundle(NAME [MANIFEST manifest.json] [DATA folder] [KEY k CERT c])
#                                                      NAME.kmod: packed and signed by `kante bundle pack`

include(CheckCXXCompilerFlag)

# Exactly one exported symbol, everything bound at load, no executable stack, nothing undefined: what the
# loader's lint asks for.
function(kante_add_module name)
  cmake_parse_arguments(M "" "" "SOURCES;LIBS" ${ARGN})
  set(map ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/module.map)
  add_library(${name} MODULE ${M_SOURCES})
  target_link_libraries(${name} PRIVATE Kante::sdk ${M_LIBS})
  set_target_properties(${name} PROPERTIES
    PREFIX "" CXX_VISIBILITY_PRESET hidden C_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON SKIP_BUILD_RPATH ON LINK_DEPENDS ${map})
  target_compile_features(${name} PRIVATE cxx_std_20)
  check_cxx_compiler_flag(-fno-gnu-unique KANTE_HAS_NO_GNU_UNIQUE)
  if(KANTE_HAS_NO_GNU_UNIQUE)
    target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-gnu-unique>)
  endif()
  target_link_options(${name} PRIVATE -Wl,--version-script=${map}
    -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack -Wl,--as-needed)
  if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize" AND NOT KANTE_SANITIZE)
    target_link_options(${name} PRIVATE -Wl,--no-undefined)
  endif()
  # For kante_add_module_test, which links the same sources into a program.
  set(absolute)
  foreach(source ${M_SOURCES})
    get_filename_component(path ${source} ABSOLUTE)
    list(APPEND absolute ${path})
  endforeach()
  set_target_properties(${name} PROPERTIES KANTE_SOURCES "${absolute}" KANTE_LIBS "${M_LIBS}"
    KANTE_FOLDER "${CMAKE_CURRENT_SOURCE_DIR}")
endfunction()

function(kante_add_module_test name)
  cmake_parse_arguments(T "" "MODULE" "SOURCES;LIBS" ${ARGN})
  find_package(GTest REQUIRED)
  get_target_property(module_sources ${T_MODULE} KANTE_SOURCES)
  get_target_property(module_libs ${T_MODULE} KANTE_LIBS)
  get_target_property(module_folder ${T_MODULE} KANTE_FOLDER)
  add_executable(${name} ${T_SOURCES} ${module_sources})
  target_include_directories(${name} PRIVATE ${module_folder})
  target_link_libraries(${name} PRIVATE Kante::sdk ${module_libs} ${T_LIBS}
    GTest::gmock GTest::gtest_main ${CMAKE_DL_LIBS})
  target_compile_features(${name} PRIVATE cxx_std_20)
  # The library itself too, for what only a loader sees.
  add_dependencies(${name} ${T_MODULE})
  target_compile_definitions(${name} PRIVATE KANTE_MODULE_LIBRARY="$<TARGET_FILE:${T_MODULE}>")
  add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
endfunction()

# The name of the target's machine in bundles.
function(kante_architecture out)
  set(machines "^(x86_64|amd64)$" amd64 "^(aarch64|arm64)$" arm64 "^arm" armhf "^riscv64$" riscv64)
  while(machines)
    list(POP_FRONT machines pattern name)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "${pattern}")
      set(${out} ${name} PARENT_SCOPE)
      return()
    endif()
  endwhile()
  message(FATAL_ERROR "Kante does not know the architecture ${CMAKE_SYSTEM_PROCESSOR}")
endfunction()

# KEY and CERT default to KANTE_SIGNING_KEY and KANTE_SIGNING_CERT, and these to what `kante key init` makes.
function(kante_add_bundle name)
  cmake_parse_arguments(B "" "MANIFEST;DATA;KEY;CERT" "" ${ARGN})
  if(NOT KANTE_PROGRAM)
    message(FATAL_ERROR "kante_add_bundle needs the program `kante`; -DKANTE_PROGRAM=… names it")
  endif()
  if(DEFINED ENV{XDG_CONFIG_HOME})
    set(keys $ENV{XDG_CONFIG_HOME}/kante/keys)
  else()
    set(keys $ENV{HOME}/.config/kante/keys)
  endif()
  set(KANTE_SIGNING_KEY ${keys}/signer.key CACHE FILEPATH "Key that signs bundles")
  set(KANTE_SIGNING_CERT ${keys}/signer.pem CACHE FILEPATH "Certificate of that key")
  foreach(default "MANIFEST:manifest.json" "KEY:${KANTE_SIGNING_KEY}" "CERT:${KANTE_SIGNING_CERT}")
    string(REGEX MATCH "^([A-Z]+):(.*)$" unused "${default}")
    if(NOT B_${CMAKE_MATCH_1})
      set(B_${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
    endif()
  endforeach()
  get_filename_component(B_MANIFEST ${B_MANIFEST} ABSOLUTE)
  kante_architecture(architecture)
  set(stage ${CMAKE_CURRENT_BINARY_DIR}/${name}.bundle)
  set(bundle ${CMAKE_CURRENT_BINARY_DIR}/${name}.kmod)
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
    COMMAND ${CMAKE_COMMAND} -E make_directory ${stage}/lib/${architecture}
    COMMAND ${CMAKE_COMMAND} -E copy ${B_MANIFEST} ${stage}/manifest.json
    COMMAND ${CMAKE_STRIP} --strip-debug -o ${stage}/lib/${architecture}/module.so $<TARGET_FILE:${name}>
    ${data_commands}
    COMMAND ${KANTE_PROGRAM} bundle pack ${stage} -o ${bundle} --key ${B_KEY} --cert ${B_CERT}
    DEPENDS ${name} $<TARGET_FILE:${name}> ${B_MANIFEST} ${data_files}
    COMMENT "Packing and signing ${name}.kmod" VERBATIM)
  add_custom_target(${name}_bundle ALL DEPENDS ${bundle})
endfunction()
