import { existsSync } from 'node:fs';

/** Manifests of the software Vulkan driver that Chromium ships: WebGPU without a GPU, for correctness. */
const MANIFESTS = ['/usr/lib/chromium/vk_swiftshader_icd.json', '/opt/google/chrome/vk_swiftshader_icd.json'];

/** Environment in which the native runtime finds a WebGPU adapter; empty where there is no software driver. */
export function softwareAdapter() {
  const manifest = MANIFESTS.find((path) => existsSync(path));
  if (manifest === undefined) return {};
  return {
    VK_ICD_FILENAMES: manifest,
    VK_DRIVER_FILES: manifest,
    XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? '/tmp',
  };
}
