// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.nbd.wire.Nbd;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;

/// Reads and prints the text of an [NbdUri]. One object reads one text, on one thread.
final class NbdUriSyntax {
  private static final String TCP_EXAMPLE = "nbd://localhost:10809/vda";
  private static final String UNIX_EXAMPLE = "nbd+unix:///vda?socket=/run/nbd.sock";
  private static final String PLAIN =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~@/:";

  private final String text;

  NbdUriSyntax(String text) {
    this.text = text;
  }

  NbdUri parse() {
    checkCharacters();
    int schemeEnd = text.indexOf("://");
    if (schemeEnd < 0) {
      throw wrong("no scheme", TCP_EXAMPLE + " or " + UNIX_EXAMPLE);
    }
    String scheme = text.substring(0, schemeEnd).toLowerCase(Locale.ROOT);
    String rest = text.substring(schemeEnd + 3);
    int queryStart = rest.indexOf('?');
    String query = queryStart < 0 ? "" : rest.substring(queryStart + 1);
    String beforeQuery = queryStart < 0 ? rest : rest.substring(0, queryStart);
    int pathStart = beforeQuery.indexOf('/');
    String authority = pathStart < 0 ? beforeQuery : beforeQuery.substring(0, pathStart);
    String name = pathStart < 0 ? "" : unescape(beforeQuery.substring(pathStart + 1));
    return switch (scheme) {
      case "nbd" -> tcp(authority, name, query);
      case "nbd+unix" -> unix(authority, name, query);
      case "nbds", "nbds+unix" ->
          throw wrong(
              "TLS (" + scheme + ") is not supported by this version",
              "nbd: or nbd+unix:, for example " + TCP_EXAMPLE);
      case "nbd+vsock", "nbds+vsock" ->
          throw wrong(
              "vsock (" + scheme + ") is not supported by this version",
              "nbd: or nbd+unix:, for example " + UNIX_EXAMPLE);
      default ->
          throw wrong(
              "unknown scheme " + scheme,
              "nbd or nbd+unix, for example " + TCP_EXAMPLE + " or " + UNIX_EXAMPLE);
    };
  }

  private NbdUri.Tcp tcp(String authority, String name, String query) {
    if (socketParameter(query).isPresent()) {
      throw wrong("socket= does not go with nbd:", UNIX_EXAMPLE);
    }
    if (authority.indexOf('@') >= 0) {
      throw wrong(
          "a user before the host is for TLS, which is not supported by this version", TCP_EXAMPLE);
    }
    int hostEnd;
    String host;
    if (authority.startsWith("[")) {
      int bracket = authority.indexOf(']');
      if (bracket < 0) {
        throw wrong("the '[' of the address has no ']'", "nbd://[::1]:10809/vda");
      }
      hostEnd = bracket + 1;
      host = unescape(authority.substring(1, bracket));
    } else {
      int colon = authority.indexOf(':');
      hostEnd = colon < 0 ? authority.length() : colon;
      host = hostEnd == 0 ? "localhost" : unescape(authority.substring(0, hostEnd));
    }
    return checked(() -> new NbdUri.Tcp(host, port(authority.substring(hostEnd)), name));
  }

  private int port(String afterHost) {
    if (afterHost.isEmpty() || afterHost.equals(":")) {
      return NbdUri.DEFAULT_PORT;
    }
    if (afterHost.charAt(0) != ':' || afterHost.indexOf(':', 1) >= 0) {
      throw wrong("unreadable address (an IPv6 address goes in brackets)", "nbd://[::1]:10809/vda");
    }
    String digits = afterHost.substring(1);
    if (digits.length() > 5 || !digits.chars().allMatch(c -> c >= '0' && c <= '9')) {
      throw wrong("port: " + digits, "1 to 65535, for example " + TCP_EXAMPLE);
    }
    return Integer.parseInt(digits);
  }

  private NbdUri.Unix unix(String authority, String name, String query) {
    if (!authority.isEmpty()) {
      throw wrong(
          "a host (" + authority + ") does not go with nbd+unix:, mind the third slash",
          UNIX_EXAMPLE);
    }
    String socket = socketParameter(query).orElseThrow(() -> wrong("no socket=", UNIX_EXAMPLE));
    if (socket.startsWith("\0")) {
      throw wrong("abstract sockets are not supported", UNIX_EXAMPLE);
    }
    Path path;
    try {
      path = Path.of(socket);
    } catch (InvalidPathException e) {
      throw wrong("socket: not a path, " + e.getReason(), UNIX_EXAMPLE);
    }
    return checked(() -> new NbdUri.Unix(path, name));
  }

  /// The value of `socket=`. Whatever else the query says is refused, as the specification asks.
  private Optional<String> socketParameter(String query) {
    Optional<String> socket = Optional.empty();
    for (String parameter : query.split("&", -1)) {
      if (parameter.isEmpty()) {
        continue;
      }
      int equals = parameter.indexOf('=');
      String key = equals < 0 ? parameter : parameter.substring(0, equals);
      if (key.startsWith("tls-")) {
        throw wrong(key + ": TLS is not supported by this version", TCP_EXAMPLE);
      }
      if (!key.equals("socket") || equals < 0) {
        throw wrong(
            "unknown parameter " + key + " (a '?' in an export name is written %3F)", UNIX_EXAMPLE);
      }
      if (socket.isPresent()) {
        throw wrong("two socket=", UNIX_EXAMPLE);
      }
      socket = Optional.of(unescape(parameter.substring(equals + 1)));
    }
    return socket;
  }

  private void checkCharacters() {
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c <= ' ' || c == 0x7f) {
        String escaped = String.format(Locale.ROOT, "%%%02X", (int) c);
        throw wrong("a space or control character at " + i, "it written " + escaped);
      }
      if (c == '#') {
        throw wrong("a '#' at " + i + ", NBD URIs have no fragment", "it written %23");
      }
    }
  }

  private String unescape(String escaped) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream(escaped.length());
    for (int i = 0; i < escaped.length(); ) {
      int percent = escaped.indexOf('%', i);
      int plainEnd = percent < 0 ? escaped.length() : percent;
      bytes.writeBytes(escaped.substring(i, plainEnd).getBytes(UTF_8));
      i = plainEnd;
      if (percent >= 0) {
        int high = percent + 1 < escaped.length() ? Character.digit(escaped.charAt(i + 1), 16) : -1;
        int low = percent + 2 < escaped.length() ? Character.digit(escaped.charAt(i + 2), 16) : -1;
        if (high < 0 || low < 0) {
          throw wrong("a '%' without two hexadecimal digits", "%25 for a '%', %20 for a space");
        }
        bytes.write(high << 4 | low);
        i += 3;
      }
    }
    try {
      return UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes.toByteArray())).toString();
    } catch (CharacterCodingException e) {
      throw wrong("escapes that are not UTF-8", "%C3%A9 for é");
    }
  }

  private <T> T checked(java.util.function.Supplier<T> construct) {
    try {
      return construct.get();
    } catch (IllegalArgumentException e) {
      String message = String.valueOf(e.getMessage());
      throw message.startsWith("NBD URI ") ? e : new IllegalArgumentException(what() + message, e);
    }
  }

  private IllegalArgumentException wrong(String what, String expected) {
    return new IllegalArgumentException(what() + what + " (expected: " + expected + ")");
  }

  private String what() {
    return "NBD URI " + text + ": ";
  }

  static String print(NbdUri uri) {
    return switch (uri) {
      case NbdUri.Tcp tcp ->
          "nbd://"
              + (tcp.host().indexOf(':') < 0
                  ? escape(tcp.host())
                  : "[" + tcp.host().replace("%", "%25") + "]")
              + (tcp.port() == NbdUri.DEFAULT_PORT ? "" : ":" + tcp.port())
              + "/"
              + escape(tcp.exportName());
      case NbdUri.Unix unix ->
          "nbd+unix:///"
              + escape(unix.exportName())
              + "?socket="
              + escape(unix.socket().toString());
    };
  }

  private static String escape(String raw) {
    StringBuilder escaped = new StringBuilder(raw.length() + 16);
    for (byte octet : raw.getBytes(UTF_8)) {
      if (octet > 0 && PLAIN.indexOf(octet) >= 0) {
        escaped.append((char) octet);
      } else {
        escaped.append(String.format(Locale.ROOT, "%%%02X", octet & 0xff));
      }
    }
    return escaped.toString();
  }

  static void checkHost(String host) {
    if (host.isEmpty() || host.chars().anyMatch(c -> c <= ' ' || "/@?#[]".indexOf(c) >= 0)) {
      throw new IllegalArgumentException(
          "host: \"" + host + "\" (expected: name or address, for example localhost or ::1)");
    }
  }

  static void checkExportName(String name) {
    if (name.indexOf('\0') >= 0) {
      throw new IllegalArgumentException("export name: contains NUL (expected: none)");
    }
    int bytes = name.getBytes(UTF_8).length;
    if (bytes > Nbd.STRING_BYTES_MAX) {
      throw new IllegalArgumentException(
          "export name: " + bytes + " bytes (expected: <= " + Nbd.STRING_BYTES_MAX + ")");
    }
  }
}
