export { CreateError } from './errors.js';
export {
  CONTRACTS,
  describeMethod,
  type Contract,
  type MethodDescription,
  type MethodRequest,
} from './describe-method.js';
export { methodFiles } from './method-files.js';
