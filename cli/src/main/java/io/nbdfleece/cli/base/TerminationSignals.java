// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.base;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.util.function.Consumer;

/// SIGINT, SIGTERM and SIGHUP for a process that wants to end in its own time and with its own exit
/// code, or not to end by the last of them. A shutdown hook can do neither: the JVM ends with 128 +
/// the signal, and does not tell a second signal.
///
/// The JDK offers signals only in `sun.misc`, which javac warns of at each use; so it is called by
/// reflection.
public final class TerminationSignals {
  private TerminationSignals() {}

  /// Calls `action` with the signal's name (`TERM`) each time one arrives, on a thread of its own.
  /// Signals that the parent process ignored stay ignored.
  ///
  /// @return whether this JVM can; otherwise signals keep their default effect
  public static boolean handle(Consumer<String> action) {
    try {
      Class<?> signalType = Class.forName("sun.misc.Signal");
      Class<?> handlerType = Class.forName("sun.misc.SignalHandler");
      InvocationHandler invocation =
          (proxy, method, arguments) ->
              switch (method.getName()) {
                case "handle" -> {
                  action.accept((String) signalType.getMethod("getName").invoke(arguments[0]));
                  yield 0;
                }
                case "hashCode" -> System.identityHashCode(proxy);
                case "equals" ->
                    System.identityHashCode(proxy) == System.identityHashCode(arguments[0]);
                default -> "TerminationSignals";
              };
      Object handler =
          Proxy.newProxyInstance(
              TerminationSignals.class.getClassLoader(), new Class<?>[] {handlerType}, invocation);
      for (String name : new String[] {"INT", "TERM", "HUP"}) {
        Object signal = signalType.getConstructor(String.class).newInstance(name);
        Object previous =
            signalType.getMethod("handle", signalType, handlerType).invoke(null, signal, handler);
        assert previous != null;
      }
      return true;
    } catch (ReflectiveOperationException e) {
      return false;
    }
  }
}
