// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.nbd.wire.Nbd;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/// Reads and prints the text of an [NbdUri]. One object reads one text, on one thread.
final class NbdUriSyntax {
  private static final String TCP_EXAMPLE = "nbd://localhost:10809/vda";
  private static final String UNIX_EXAMPLE = "nbd+unix:///vda?socket=/run/nbd.sock";
  private static final String TLS_EXAMPLE =
      "nbds://localhost:10809/vda?tls-certificates=/etc/pki/nbd";
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
    Map<String, String> query = parameters(queryStart < 0 ? "" : rest.substring(queryStart + 1));
    String beforeQuery = queryStart < 0 ? rest : rest.substring(0, queryStart);
    int pathStart = beforeQuery.indexOf('/');
    String authority = pathStart < 0 ? beforeQuery : beforeQuery.substring(0, pathStart);
    String name = pathStart < 0 ? "" : unescape(beforeQuery.substring(pathStart + 1));
    return switch (scheme) {
      case "nbd" -> tcp(noUser(authority), name, query, plain(query));
      case "nbd+unix" -> unix(noUser(authority), name, query, plain(query));
      case "nbds" -> tcp(afterUser(authority), name, query, tls(authority, query));
      case "nbds+unix" -> unix(afterUser(authority), name, query, tls(authority, query));
      case "nbd+vsock", "nbds+vsock" ->
          throw wrong(
              "vsock (" + scheme + ") is not supported by this version",
              "nbd: or nbd+unix:, for example " + UNIX_EXAMPLE);
      default ->
          throw wrong(
              "unknown scheme " + scheme,
              "nbd, nbds, nbd+unix or nbds+unix, for example "
                  + TCP_EXAMPLE
                  + " or "
                  + UNIX_EXAMPLE);
    };
  }

  private NbdUri.Tcp tcp(
      String authority, String name, Map<String, String> query, Optional<NbdUri.Tls> tls) {
    if (query.containsKey("socket")) {
      throw wrong("socket= does not go with nbd: and nbds:", UNIX_EXAMPLE);
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
    return checked(() -> new NbdUri.Tcp(host, port(authority.substring(hostEnd)), name, tls));
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

  private NbdUri.Unix unix(
      String authority, String name, Map<String, String> query, Optional<NbdUri.Tls> tls) {
    if (!authority.isEmpty()) {
      throw wrong(
          "a host (" + authority + ") does not go with nbd+unix:, mind the third slash",
          UNIX_EXAMPLE);
    }
    if (!query.containsKey("socket")) {
      throw wrong("no socket=", UNIX_EXAMPLE);
    }
    return checked(() -> new NbdUri.Unix(path("socket", query), name, tls));
  }

  private Path path(String key, Map<String, String> query) {
    String value = query.getOrDefault(key, "");
    if (key.equals("socket") && value.startsWith("\0")) {
      throw wrong("abstract sockets are not supported", UNIX_EXAMPLE);
    }
    if (value.isEmpty()) {
      throw wrong(
          key + ": empty",
          key.equals("socket")
              ? "path of a socket file, for example " + UNIX_EXAMPLE
              : "a path, for example " + TLS_EXAMPLE);
    }
    try {
      return Path.of(value);
    } catch (InvalidPathException e) {
      throw wrong(key + ": not a path, " + e.getReason(), UNIX_EXAMPLE);
    }
  }

  private String noUser(String authority) {
    if (authority.indexOf('@') >= 0) {
      throw wrong("a user before the host is for TLS and goes with nbds:", TLS_EXAMPLE);
    }
    return authority;
  }

  private static String afterUser(String authority) {
    return authority.substring(authority.lastIndexOf('@') + 1);
  }

  /// Of a URI without TLS. What is meant for TLS is refused rather than ignored: whoever wrote it
  /// thinks that the connection is encrypted.
  private Optional<NbdUri.Tls> plain(Map<String, String> query) {
    for (String key : query.keySet()) {
      if (key.startsWith("tls-")) {
        throw wrong(key + ": only goes with nbds: and nbds+unix:", TLS_EXAMPLE);
      }
    }
    return Optional.empty();
  }

  private Optional<NbdUri.Tls> tls(String authority, Map<String, String> query) {
    int userEnd = Math.max(authority.lastIndexOf('@'), 0);
    String user = unescape(authority.substring(0, userEnd));
    if (user.indexOf(':') >= 0) {
      throw wrong("a password behind the user", "the key in a tls-psk-file");
    }
    Optional<Path> certificates = optionalPath("tls-certificates", query);
    Optional<Path> pskFile = optionalPath("tls-psk-file", query);
    Optional<String> hostname = Optional.ofNullable(query.get("tls-hostname"));
    if (hostname.isPresent() && hostname.get().isEmpty()) {
      throw wrong("tls-hostname: empty", "the name in the server's certificate");
    }
    boolean verifyPeer = flag("tls-verify-peer", query.getOrDefault("tls-verify-peer", "true"));
    return Optional.of(
        checked(() -> new NbdUri.Tls(user, certificates, pskFile, verifyPeer, hostname)));
  }

  private Optional<Path> optionalPath(String key, Map<String, String> query) {
    return query.containsKey(key) ? Optional.of(path(key, query)) : Optional.empty();
  }

  private boolean flag(String key, String value) {
    return switch (value.toLowerCase(Locale.ROOT)) {
      case "true", "t", "1", "yes", "y", "on" -> true;
      case "false", "f", "0", "no", "n", "off" -> false;
      default -> throw wrong(key + ": " + value, "true or false");
    };
  }

  /// The parameters behind the question mark. Unknown ones are refused, as the specification asks.
  private Map<String, String> parameters(String query) {
    Map<String, String> valueByKey = new LinkedHashMap<>();
    for (String parameter : query.split("&", -1)) {
      if (parameter.isEmpty()) {
        continue;
      }
      int equals = parameter.indexOf('=');
      String key = equals < 0 ? parameter : parameter.substring(0, equals);
      switch (key) {
        case "socket", "tls-certificates", "tls-psk-file", "tls-verify-peer", "tls-hostname" -> {
          if (equals < 0) {
            throw wrong(key + " without a value", key + "=");
          }
          if (valueByKey.putIfAbsent(key, unescape(parameter.substring(equals + 1))) != null) {
            throw wrong("two " + key + "=", "one");
          }
        }
        default ->
            throw wrong(
                "unknown parameter " + key + " (a '?' in an export name is written %3F)",
                UNIX_EXAMPLE);
      }
    }
    return valueByKey;
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
    String s = uri.tls().isPresent() ? "s" : "";
    StringBuilder text =
        switch (uri) {
          case NbdUri.Tcp tcp ->
              new StringBuilder("nbd" + s + "://")
                  .append(user(tcp))
                  .append(
                      tcp.host().indexOf(':') < 0
                          ? escape(tcp.host())
                          : "[" + tcp.host().replace("%", "%25") + "]")
                  .append(tcp.port() == NbdUri.DEFAULT_PORT ? "" : ":" + tcp.port())
                  .append("/")
                  .append(escape(tcp.exportName()));
          case NbdUri.Unix unix ->
              new StringBuilder("nbd" + s + "+unix://")
                  .append(user(unix))
                  .append("/")
                  .append(escape(unix.exportName()))
                  .append("?socket=")
                  .append(escape(unix.socket().toString()));
        };
    uri.tls().ifPresent(tls -> printTls(text, tls));
    return text.toString();
  }

  private static String user(NbdUri uri) {
    String user = uri.tls().map(NbdUri.Tls::user).orElse("");
    return user.isEmpty() ? "" : escape(user).replace("@", "%40").replace("/", "%2F") + "@";
  }

  private static void printTls(StringBuilder text, NbdUri.Tls tls) {
    tls.certificates().ifPresent(path -> parameter(text, "tls-certificates", path.toString()));
    tls.pskFile().ifPresent(path -> parameter(text, "tls-psk-file", path.toString()));
    if (!tls.verifyPeer()) {
      parameter(text, "tls-verify-peer", "false");
    }
    tls.hostname().ifPresent(name -> parameter(text, "tls-hostname", name));
  }

  private static void parameter(StringBuilder text, String key, String value) {
    text.append(text.indexOf("?") < 0 ? '?' : '&').append(key).append('=').append(escape(value));
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
