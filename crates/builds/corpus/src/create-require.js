import { createRequire } from "node:module";

const load = createRequire(import.meta.url);
console.log(load("react").version);
