import { isElement } from "react-is";

console.log(isElement(1));
