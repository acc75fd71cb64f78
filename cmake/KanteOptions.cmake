# Compiler settings shared by every target, and the libraries that Debian 12 provides.

add_library(kante_options INTERFACE)
target_include_directories(kante_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(kante_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow
  $<$<COMPILE_LANGUAGE:CXX>:-Wconversion>
  -fstack-protector-strong -fstack-clash-protection -fno-omit-frame-pointer)
target_link_options(kante_options INTERFACE -Wl,-z,relro,-z,now -Wl,--as-needed)
target_compile_definitions(kante_options INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
  KANTE_VERSION="${PROJECT_VERSION}")

if(KANTE_SANITIZE)
  # On every target, modules included: a half-instrumented process reports what is not there.
  add_compile_options(-fsanitize=${KANTE_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${KANTE_SANITIZE})
  if(KANTE_SANITIZE STREQUAL "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-tsan)  # Fences, which it does not follow: those of Asio, at each use.
  endif()
  # Runner and launcher then leave out what no sanitizer can live with: filters, limits of memory, an empty root.
  target_compile_definitions(kante_options INTERFACE KANTE_SANITIZED)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_definitions(kante_options INTERFACE _FORTIFY_SOURCE=2)
endif()

if(KANTE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "KANTE_FUZZ needs clang; use: cmake --preset fuzz")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Results are shared between checkouts: what the compiler is given and what it leaves name no absolute path.
add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
find_program(KANTE_CCACHE ccache)
if(KANTE_CCACHE)
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_ABSSTDERR=1 ${KANTE_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(OpenSSL 3 REQUIRED)
find_package(fmt REQUIRED)
find_package(CapnProto REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(LMDB REQUIRED IMPORTED_TARGET lmdb)
pkg_check_modules(MOSQUITTO REQUIRED IMPORTED_TARGET libmosquitto)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
