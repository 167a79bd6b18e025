export {
  CONTRACT_VERSION,
  plugin,
  pluginMetadata,
  type ContractName,
  type Contracts,
  type PluginClass,
  type PluginMetadata,
} from './metadata.js';
export { instantiatePlugin, pluginFactory } from './plugin-factory.js';
export { PluginRegistry, type PluginOfSpec, type PluginSpec, type RegisteredPlugin } from './plugin-registry.js';
export {
  ARTIFACTS,
  BACKEND,
  CLOCK,
  createContainer,
  LINEAR_ALGEBRA,
  LOGGER,
  MemoryArtifactStore,
  OPTIONS,
  RANDOM,
  SCHEDULES,
  silentLogger,
  systemClock,
  type ArtifactStore,
  type Clock,
  type Logger,
  type LogLevel,
  type Services,
} from './services.js';
