// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

/// How clients reach a server.
enum Transport {
  UNIX("Unix"),
  TCP("TCP");

  private final String title;

  Transport(String title) {
    this.title = title;
  }

  String title() {
    return title;
  }
}
