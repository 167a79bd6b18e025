// tsyringe looks for this polyfill when it is loaded. In a module of its own, bundlers run it before tsyringe: they call what
// is CommonJS where the importing module begins, which is after all its ES modules.
import 'reflect-metadata';
