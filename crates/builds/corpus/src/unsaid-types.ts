import { FC } from "react";

export const named = (view: FC | null): boolean => view !== null;
console.log(named(null));
