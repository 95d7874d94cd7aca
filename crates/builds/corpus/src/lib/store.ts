import { useSize } from "./hooks";

export class Store {
  readonly read = useSize;
  size = 0;
}
