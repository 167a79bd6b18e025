import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

/** Manifests of the software Vulkan driver that Chromium ships: WebGPU without a GPU, for correctness. */
const MANIFESTS = ['/usr/lib/chromium/vk_swiftshader_icd.json', '/opt/google/chrome/vk_swiftshader_icd.json'];

/** What to set for the native runtime to find a WebGPU adapter; nothing where a driver is chosen, or none is there. */
export function softwareAdapter() {
  if (process.env.VK_ICD_FILENAMES !== undefined) return {};
  const manifest = MANIFESTS.find((path) => existsSync(path));
  if (manifest === undefined) return {};
  const folder = dirname(manifest);
  const libraries = [process.env.LD_LIBRARY_PATH, folder].filter(Boolean).join(delimiter);
  return {
    VK_ICD_FILENAMES: manifest,
    VK_DRIVER_FILES: manifest,
    // Chromium brings the Vulkan loader as well, which not every system has.
    ...(existsSync(join(folder, 'libvulkan.so.1')) ? { LD_LIBRARY_PATH: libraries } : {}),
    XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? '/tmp',
  };
}
