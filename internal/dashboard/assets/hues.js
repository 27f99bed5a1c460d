// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// A colour for each Pod, so that the eye finds what a member holds. Names always
// stand beside it: nothing is told by colour alone.

import { element, setClass, setText, setTitle } from "./dom.js";

const hues = 10;
const taken = new Map(); // by Pod, in the order of their appearance

// hue is the class of a Pod's colour. Those of Pods that are gone are used again by
// the eleventh.
export function hue(pod) {
  if (!taken.has(pod)) taken.set(pod, taken.size % hues);
  return `hue-${taken.get(pod)}`;
}

// podName makes an element that names a Pod.
export function podName() {
  const swatch = element("span", "swatch");
  swatch.setAttribute("aria-hidden", "true");
  const name = element("span", "pod-name");
  const e = element("span", "pod", swatch, name);
  return {
    e,
    set(pod, title = pod) {
      setClass(swatch, `swatch ${hue(pod)}`);
      setText(name, pod);
      setTitle(e, title);
    },
  };
}
