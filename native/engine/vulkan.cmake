# For builds with Vulkan alone, so that others are not made anew when this changes: run by
# CMakeLists.txt's project(), and again at its end.
function(mullama_fix_vulkan)
  set_source_files_properties(${LLAMA_CPP_DIR}/ggml/src/ggml-vulkan/ggml-vulkan.cpp
    TARGET_DIRECTORY ggml-vulkan
    PROPERTIES COMPILE_OPTIONS "-include;${CMAKE_CURRENT_SOURCE_DIR}/vulkan_fixes.h"
               OBJECT_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/vulkan_fixes.h)
endfunction()
cmake_language(DEFER CALL mullama_fix_vulkan)
