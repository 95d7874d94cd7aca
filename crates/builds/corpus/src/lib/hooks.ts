import { useState } from "react";

export function useSize(): number {
  return useState(0)[0];
}
