import { testMutants } from '../testing/mutant-tests.js';
import { updateRuleMutants } from '../testing/update-rule-mutants.js';

testMutants(updateRuleMutants);
