import { preset } from '../../tools/jest/preset.mjs';

export default preset('autodiff', import.meta.dirname);
