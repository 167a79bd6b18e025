import { testMutants } from '../testing/mutant-tests.js';
import { rewardMutants } from '../testing/reward-mutants.js';

testMutants(rewardMutants);
