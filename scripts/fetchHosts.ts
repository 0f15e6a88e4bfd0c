/** Fetches the VS Codes and the browser that the tests run in, where they are not there yet. Usage: node scripts/fetchHosts.ts */
import { ensureBrowser, ensureHost, type HostName, hosts } from './vscodeHost.ts';

ensureBrowser();
for (const name of Object.keys(hosts) as HostName[]) ensureHost(name);
