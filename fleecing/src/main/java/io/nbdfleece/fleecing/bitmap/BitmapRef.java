// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

/// A bitmap by name.
///
/// @param owner the name of a disk, or of a view that has bitmaps of its own
public record BitmapRef(String owner, String name) {}
