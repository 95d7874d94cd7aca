import { pure } from "./unused-lib";

console.log(pure);
