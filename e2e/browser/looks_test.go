// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"fmt"
	"testing"
)

// Nothing is wider than a phone.
func TestPhoneHasNoSidewaysScrolling(t *testing.T) {
	needChrome(t)
	server := eventful(t)
	for _, width := range []int64{320, 375, 768} {
		tb := open(t, server.URL, screen{width: width, height: 800, touch: true})
		tb.await(t, "the take-over is told", `document.querySelector('.entry[data-kind="taken-over"]') !== null`)
		if got := eval[int64](t, tb, `document.documentElement.scrollWidth`); got > width {
			wide := eval[string](t, tb, fmt.Sprintf(`[...document.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > %d).map((e) => e.tagName + "." + e.className).slice(0, 5).join()`, width))
			t.Errorf("on a screen of %d the page is %d wide: %s", width, got, wide)
		}
	}
}

// contrasts are, by selector, the least contrast of an element's text with what is behind
// it, as WCAG 2 defines it. https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
const contrasts = `(() => {
	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const rgba = (colour) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = colour;
		canvas.fillRect(0, 0, 1, 1);
		return canvas.getImageData(0, 0, 1, 1).data;
	};
	const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
		.reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = (e) => {
		for (; e; e = e.parentElement) {
			const colour = rgba(getComputedStyle(e).backgroundColor);
			if (colour[3] === 255) return colour;
		}
		return [255, 255, 255];
	};
	const least = {};
	for (const e of document.querySelectorAll("body *")) {
		if (!e.checkVisibility() || e.closest(".unseen, .skip") || ![...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim())) continue;
		const [a, b] = [luminance(rgba(getComputedStyle(e).color)), luminance(behind(e))].sort((x, y) => y - x);
		const name = e.tagName.toLowerCase() + [...e.classList].map((c) => "." + c).join("");
		least[name] = Math.min(least[name] ?? 99, (a + 0.05) / (b + 0.05));
	}
	return least;
})()`

// All texts can be read, by day and by night, and these differ.
func TestContrast(t *testing.T) {
	needChrome(t)
	const enough = 4.5
	server := eventful(t)
	colours := map[bool]string{}
	for name, on := range map[string]screen{"light": desktop, "dark": dark} {
		tb := open(t, server.URL, on)
		tb.await(t, "the take-over is told", `document.querySelector('.entry[data-kind="taken-over"]') !== null`)
		all := eval[map[string]float64](t, tb, contrasts)
		if len(all) < 20 {
			t.Errorf("%s: only %d kinds of text were looked at", name, len(all))
		}
		for text, contrast := range all {
			if contrast < enough {
				t.Errorf("%s: %s has a contrast of %.2f, want %.1f", name, text, contrast, enough)
			}
		}
		colours[on.dark] = eval[string](t, tb, `getComputedStyle(document.body).backgroundColor + getComputedStyle(document.body).color`)
	}
	if colours[true] == colours[false] {
		t.Errorf("by day and by night the colours are %s", colours[true])
	}
}

// What a person cannot see is told in another way.
func TestAccessibleNames(t *testing.T) {
	needChrome(t)
	server := eventful(t)
	for _, on := range []screen{desktop, phone} {
		tb := open(t, server.URL, on)
		tb.await(t, "the take-over is told", `document.querySelector('.entry[data-kind="taken-over"]') !== null`)
		for what, expression := range map[string]string{
			"the page has a language and one main heading":  `document.documentElement.lang === "en" && document.querySelectorAll("h1").length === 1`,
			"tables are tables, on a phone too":             `document.querySelectorAll("[role=table] [role=row] [role=cell]").length > 50`,
			"what changes is said politely":                 `document.querySelector("#spoken").innerText === "3 of 3 members ready, 11 of 12 shards held, 1 unheld"`,
			"what is unheld is said in words":               `document.querySelector("tr.shard.is-unheld").innerText.includes("nobody")`,
			"the bar has a text":                            `document.querySelector("#shares").getAttribute("aria-label").includes("nobody 1")`,
			"the title says what is unheld":                 `document.title.startsWith("1 unheld")`,
			"buttons and fields have names":                 `[...document.querySelectorAll("button, input")].every((e) => e.innerText || e.ariaLabel || e.labels?.length)`,
			"nothing that gets the focus is hidden from it": `document.querySelectorAll("[aria-hidden=true] :is(button, input, a)").length === 0`,
		} {
			if !eval[bool](t, tb, expression) {
				t.Errorf("%d wide: not so: %s", on.width, what)
			}
		}
	}
}
