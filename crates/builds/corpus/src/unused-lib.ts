export { useSize } from "./lib/hooks";
export const pure = 1;
