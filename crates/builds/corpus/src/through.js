import { shown } from "toolkit";

console.log(shown);
