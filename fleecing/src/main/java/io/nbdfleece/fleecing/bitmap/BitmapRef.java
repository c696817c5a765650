// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

/// A bitmap of a disk, by their names.
public record BitmapRef(String disk, String name) {}
