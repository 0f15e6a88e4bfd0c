/** Takes a name and holds it until it is killed. Usage: lockHolder.ts KIND NAME [FOLDER] */
import { acquire, exclusiveKindOf } from '../../src/platform/exclusive.ts';
import { fileLockIn } from './flock.ts';

const [kind = '', name = '', folder = ''] = process.argv.slice(2);
const held = await acquire(name, kind === 'file' ? fileLockIn(folder) : exclusiveKindOf(process.platform));
console.log(held ? 'held' : 'refused');
setInterval(() => undefined, 1_000);
