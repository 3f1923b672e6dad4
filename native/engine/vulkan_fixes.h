// Comes in front of ggml-vulkan.cpp, for headers of Vulkan before 1.3.272, such as Debian 12's.
// They lack a structure that ggml fills in to have the layer for validation say more, and which
// drivers pass over otherwise. It is laid out as in later headers.
#ifndef MULLAMA_VULKAN_FIXES_H
#define MULLAMA_VULKAN_FIXES_H

#include <cstdint>
#include <vector>
#include <vulkan/vulkan_core.h>

#ifndef VK_EXT_layer_settings
namespace vk {

enum class LayerSettingTypeEXT { eBool32 = 0 };

struct LayerSettingEXT {
    const char *layer;
    const char *name;
    LayerSettingTypeEXT type;
    uint32_t count;
    const void *values;
};

struct LayerSettingsCreateInfoEXT {
    explicit LayerSettingsCreateInfoEXT(const std::vector<LayerSettingEXT> &all)
        : count((uint32_t)all.size()), settings(all.data()) {}

    VkStructureType type = (VkStructureType)1000496000;
    const void *next = nullptr;
    uint32_t count;
    const LayerSettingEXT *settings;
};

} // namespace vk
#endif

#endif
