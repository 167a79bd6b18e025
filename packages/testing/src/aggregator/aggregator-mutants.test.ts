import { testMutants } from '../testing/mutant-tests.js';
import { aggregatorMutants } from '../testing/aggregator-mutants.js';

testMutants(aggregatorMutants);
