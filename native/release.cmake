# SPDX-License-Identifier: MIT
# minipend_release: the addon, the model and the driver's host image linked once more, from the same objects, for machines that have no compiler
# and perhaps another C++ library than this one: with that library inside, without symbols. `npm run package` puts them into the package.
set(MINIPEND_RELEASE_DIR ${CMAKE_BINARY_DIR}/release)
add_custom_target(minipend_release)

function(minipend_release target kind)
  set(release ${target}_release)
  add_library(${release} ${kind} EXCLUDE_FROM_ALL $<TARGET_OBJECTS:${target}>)
  if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT kind STREQUAL "MODULE") # the driver's image is C
    target_sources(${release} PRIVATE ${MINIPEND_ROOT}/native/older_glibc.cpp)
    target_link_options(${release} PRIVATE -Wl,--version-script=${MINIPEND_ROOT}/native/release.map)
    set_property(TARGET ${release} APPEND PROPERTY LINK_DEPENDS ${MINIPEND_ROOT}/native/release.map)
  endif()
  foreach(property PREFIX OUTPUT_NAME SUFFIX)
    get_target_property(value ${target} ${property})
    if(NOT value MATCHES "-NOTFOUND$")
      set_target_properties(${release} PROPERTIES ${property} "${value}")
    endif()
  endforeach()
  set_target_properties(${release} PROPERTIES LINKER_LANGUAGE CXX LIBRARY_OUTPUT_DIRECTORY $<1:${MINIPEND_RELEASE_DIR}>
                        RUNTIME_OUTPUT_DIRECTORY $<1:${MINIPEND_RELEASE_DIR}> BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "$<$<PLATFORM_ID:Linux>:$ORIGIN>")
  if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    # What the library brings stays inside: Node has one of its own in the same process.
    target_link_options(${release} PRIVATE -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL -Wl,--as-needed -s)
  elseif(APPLE)
    target_link_options(${release} PRIVATE -Wl,-x)
  endif()
  target_link_libraries(${release} PRIVATE ${ARGN} ${CMAKE_DL_LIBS} Threads::Threads)
  add_dependencies(minipend_release ${release})
endfunction()

find_package(Threads REQUIRED)
minipend_release(fltsim SHARED)
minipend_release(minipend_driver MODULE fltsim_release)
get_target_property(options minipend_driver LINK_OPTIONS)
if(options)
  target_link_options(minipend_driver_release PRIVATE ${options})
endif()
minipend_release(minipend_addon SHARED ${CMAKE_JS_LIB})
get_target_property(options minipend_addon LINK_OPTIONS)
if(options)
  target_link_options(minipend_addon_release PRIVATE ${options})
endif()
