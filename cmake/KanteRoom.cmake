# kante_room(NAME [ROOMS other rooms it may use] [LIBS libraries])
#
# One folder of host/ as a static library kante_NAME made of all *.cc in it and in its folders.  ROOMS is
# the whole list of rooms that it may include; tests/tidy holds the includes against it.
function(kante_room name)
  cmake_parse_arguments(ROOM "" "" "ROOMS;LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/*/*.cc)
  list(TRANSFORM ROOM_ROOMS PREPEND kante_)
  if(sources)
    add_library(kante_${name} STATIC ${sources})
    target_link_libraries(kante_${name} PUBLIC kante_options ${ROOM_ROOMS} ${ROOM_LIBS})
  else()
    add_library(kante_${name} INTERFACE)
    target_link_libraries(kante_${name} INTERFACE kante_options ${ROOM_ROOMS} ${ROOM_LIBS})
  endif()
endfunction()

# kante_room_tests(NAME [LIBS …]): one test program of all *_test.cc of this folder, run as one test
# with the label unit.
function(kante_room_tests name)
  cmake_parse_arguments(T "" "" "LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cc)
  if(NOT sources)
    return()
  endif()
  add_executable(test_${name} ${sources})
  target_link_libraries(test_${name} PRIVATE kante_options ${T_LIBS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(test_${name} PRIVATE
    KANTE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" KANTE_BINARY_DIR="${PROJECT_BINARY_DIR}")
  add_test(NAME ${name} COMMAND test_${name} --gtest_brief=1)
  set_tests_properties(${name} PROPERTIES LABELS unit)
endfunction()
