export default { rootDir: new URL('../..', import.meta.url).pathname, projects: ['<rootDir>/packages/*'] };
