// SPDX-License-Identifier: Apache-2.0
/// The cluster store and the only Linux system calls of the product.
module io.nbdfleece.cache {
  requires com.github.benmanes.caffeine;
  requires roaringbitmap;
  requires static org.jspecify;
  requires static com.google.errorprone.annotations;

  exports io.nbdfleece.cache;
  exports io.nbdfleece.cache.posix;
}
