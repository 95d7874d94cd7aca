import { hook } from "@corpus/collab/frontend";

console.log(hook);
