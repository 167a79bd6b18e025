import { testPackage } from '@updraft/testing/node';
import * as all from './index.js';

await testPackage({ folder: new URL('..', import.meta.url), exports: all });
