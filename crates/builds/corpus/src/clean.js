import { join } from "node:path";

export const place = (name) => join("/", name);
console.log(place("a"));
