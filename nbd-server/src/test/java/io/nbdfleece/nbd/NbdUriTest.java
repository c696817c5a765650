// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class NbdUriTest {

  @ParameterizedTest
  @CsvSource({
    "nbd://host/vda, host, 10809, vda",
    "nbd://host:10809/vda, host, 10809, vda",
    "nbd://host:/vda, host, 10809, vda",
    "NBD://host:1/vda, host, 1, vda",
    "nbd://host, host, 10809, ''",
    "nbd://host/, host, 10809, ''",
    "nbd://host//vda, host, 10809, /vda",
    "nbd:///vda, localhost, 10809, vda",
    "nbd://[::1]/vda, ::1, 10809, vda",
    "nbd://[fe80::1%25eth0]:65535/vda, fe80::1%eth0, 65535, vda",
    "nbd://host/a%20b%40c%2Fd, host, 10809, a b@c/d",
    "nbd://host/a@b/c:d+e, host, 10809, a@b/c:d+e",
    "nbd://host/%C3%A9é, host, 10809, éé",
  })
  void tcpFormsAreRead(String text, String host, int port, String name) {
    assertEquals(new NbdUri.Tcp(host, port, name), NbdUri.parse(text));
  }

  @ParameterizedTest
  @CsvSource({
    "nbd+unix:///?socket=/run/a.sock, /run/a.sock, ''",
    "nbd+unix://?socket=/run/a.sock, /run/a.sock, ''",
    "nbd+unix:///vda?socket=a.sock, a.sock, vda",
    "nbd+unix:///vda@x?socket=/run/a%20b%26c, /run/a b&c, vda@x",
    "nbd+unix:///vda?socket=/run/a+b=c, /run/a+b=c, vda",
  })
  void unixFormsAreRead(String text, String socket, String name) {
    assertEquals(new NbdUri.Unix(Path.of(socket), name), NbdUri.parse(text));
  }

  @ParameterizedTest
  @CsvSource({
    "localhost:10809, no scheme, nbd://localhost:10809/vda",
    "nbd:localhost:10809, no scheme, nbd+unix:///vda?socket=/run/nbd.sock",
    "http://host/, unknown scheme http, nbd://localhost",
    "nbds://a:b@host/vda, password, tls-psk-file",
    "nbds://host/vda?tls-psk-file=/k&tls-certificates=/c, both tls-certificates and, one of them",
    "nbds://host/vda?tls-psk-file=, tls-psk-file: empty, a path",
    "nbds://host/vda?tls-verify-peer=maybe, tls-verify-peer: maybe, true or false",
    "nbds://host/vda?tls-hostname=, tls-hostname: empty, certificate",
    "nbds://host/vda?tls-hostname, tls-hostname without a value, tls-hostname=",
    "nbds://host/vda?tls-cipher=x, unknown parameter tls-cipher, %3F",
    "nbds+unix:///vda, no socket=, nbd+unix:///vda?socket=",
    "nbd+vsock://2/vda, vsock (nbd+vsock) is not supported, nbd+unix:",
    "nbds+vsock://2/vda, vsock (nbds+vsock) is not supported, nbd+unix:",
    "nbd://user@host/vda, TLS, nbds://localhost",
    "nbd://host/?tls-certificates=/x, tls-certificates: only goes with nbds:, nbds://localhost",
    "nbd+unix:///?socket=/x&tls-psk-file=/k, tls-psk-file: only goes with nbds:, nbds://localhost",
    "nbd://host/?socket=/x, socket= does not go with nbd:, nbd+unix:///vda?socket=",
    "nbd+unix:///vda, no socket=, nbd+unix:///vda?socket=",
    "nbd+unix:///vda?socket=, socket: empty, path of a socket file",
    "nbd+unix:///vda?socket=%00x, abstract, nbd+unix:///vda?socket=",
    "nbd+unix://vda?socket=/x, third slash, nbd+unix:///vda?socket=",
    "nbd+unix:///vda?socket=/x&socket=/y, two socket=, nbd+unix:///vda?socket=",
    "nbd://host/a?b, unknown parameter b, %3F",
    "nbd://host/a#b, '#', %23",
    "nbd://host/a b, space, %20",
    "nbd://host:0/a, port: 0, 1 to 65535",
    "nbd://host:65536/a, port: 65536, 1 to 65535",
    "nbd://host:x/a, port: x, 1 to 65535",
    "nbd://::1/a, unreadable address, nbd://[::1]:10809/vda",
    "nbd://[::1/a, no ']', nbd://[::1]:10809/vda",
    "nbd://[::1]x/a, unreadable address, nbd://[::1]:10809/vda",
    "nbd://host/%2, hexadecimal, %25",
    "nbd://host/%+1, hexadecimal, %25",
    "nbd://host/%zz, hexadecimal, %25",
    "nbd://host/%ff, not UTF-8, %C3%A9",
    "nbd://host/%00, contains NUL, none",
  })
  void whatIsWrongAndWhatIsRightIsSaid(String text, String wrong, String right) {
    String message =
        String.valueOf(
            assertThrows(IllegalArgumentException.class, () -> NbdUri.parse(text)).getMessage());
    assertTrue(message.startsWith("NBD URI " + text + ": "), message);
    assertTrue(message.contains(wrong), message);
    assertTrue(message.contains(right), message);
  }

  @ParameterizedTest
  @CsvSource({
    "host, 10809, vda@daily/1, nbd://host/vda@daily/1",
    "host, 10810, '', nbd://host:10810/",
    "::1, 10809, a b?c#d%e&f, nbd://[::1]/a%20b%3Fc%23d%25e%26f",
    "fe80::1%eth0, 1, é, nbd://[fe80::1%25eth0]:1/%C3%A9",
  })
  void tcpIsPrinted(String host, int port, String name, String printed) {
    assertEquals(printed, new NbdUri.Tcp(host, port, name).toString());
    assertEquals(new NbdUri.Tcp(host, port, name), NbdUri.parse(printed));
  }

  @Test
  void unixIsPrinted() {
    NbdUri uri = new NbdUri.Unix(Path.of("/run/a b&c+d.sock"), "vda@1");
    assertEquals("nbd+unix:///vda@1?socket=/run/a%20b%26c%2Bd.sock", uri.toString());
    assertEquals(uri, NbdUri.parse(uri.toString()));
  }

  @Test
  void tlsFormsAreReadAndPrinted() {
    NbdUri.Tls psk =
        new NbdUri.Tls(
            "alice@x", Optional.empty(), Optional.of(Path.of("/k e.psk")), true, Optional.empty());
    NbdUri.Tls x509 =
        new NbdUri.Tls(
            "", Optional.of(Path.of("/pki")), Optional.empty(), false, Optional.of("db.example"));
    assertBothWays(
        new NbdUri.Tcp("host", 10809, "vda", Optional.of(NbdUri.Tls.DEFAULTS)), "nbds://host/vda");
    assertBothWays(
        new NbdUri.Tcp("::1", 10810, "vda", Optional.of(psk)),
        "nbds://alice%40x@[::1]:10810/vda?tls-psk-file=/k%20e.psk");
    assertBothWays(
        new NbdUri.Tcp("host", 10809, "", Optional.of(x509)),
        "nbds://host/?tls-certificates=/pki&tls-verify-peer=false&tls-hostname=db.example");
    assertBothWays(
        new NbdUri.Unix(Path.of("/s"), "vda", Optional.of(psk)),
        "nbds+unix://alice%40x@/vda?socket=/s&tls-psk-file=/k%20e.psk");
    assertEquals(
        new NbdUri.Tcp("h", 10809, "", Optional.of(NbdUri.Tls.DEFAULTS)),
        NbdUri.parse("nbds://h?tls-verify-peer=1"));
  }

  private static void assertBothWays(NbdUri uri, String text) {
    assertEquals(text, uri.toString());
    assertEquals(uri, NbdUri.parse(text));
  }

  @Test
  void anyNameAndSocketComeBack() {
    long seed = Long.getLong("test.seed", System.nanoTime());
    Random random = new Random(seed);
    for (int round = 0; round < 2000; round++) {
      StringBuilder name = new StringBuilder();
      random
          .ints(random.nextInt(20), 1, 0x2000)
          .map(c -> random.nextBoolean() ? (c & 0x7f) | 1 : c)
          .forEach(name::appendCodePoint);
      NbdUri tcp = new NbdUri.Tcp("host", 1, name.toString());
      assertEquals(tcp, NbdUri.parse(tcp.toString()), "test.seed=" + seed);
      NbdUri unix = new NbdUri.Unix(Path.of("/run/" + name + "x"), name.toString());
      assertEquals(unix, NbdUri.parse(unix.toString()), "test.seed=" + seed);
    }
  }

  @Test
  void nameLongerThanTheProtocolAllowsIsRefused() {
    assertEquals(4096, new NbdUri.Tcp("h", 1, "x".repeat(4096)).exportName().length());
    assertThrows(IllegalArgumentException.class, () -> new NbdUri.Tcp("h", 1, "é".repeat(2049)));
  }
}
