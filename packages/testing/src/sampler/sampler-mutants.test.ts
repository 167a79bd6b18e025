import { testMutants } from '../testing/mutant-tests.js';
import { samplerMutants } from '../testing/sampler-mutants.js';

testMutants(samplerMutants);
