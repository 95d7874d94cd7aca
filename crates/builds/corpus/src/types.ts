import type { FC } from "react";

type Props = { name: string };
export const names = (view: FC<Props> | null): string => view?.displayName ?? "none";
console.log(names(null));
