import { Store } from "./lib";

console.log(new Store().size);
