// SPDX-License-Identifier: Apache-2.0

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassFile.ClassHierarchyResolverOption;
import java.lang.classfile.ClassFile.ConstantPoolSharingOption;
import java.lang.classfile.ClassFile.StackMapsOption;
import java.lang.classfile.ClassFileVersion;
import java.lang.classfile.ClassHierarchyResolver;
import java.lang.classfile.ClassTransform;
import java.lang.constant.ClassDesc;
import java.nio.ByteBuffer;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/// Gives the classes of a jar that were compiled for Java 5 (picocli's are) the form of Java 8,
/// with stack maps: the start-up cache takes no older ones, and all that mentions them stays
/// outside, too. What they do stays the same.
///
/// `java ModernClasses.java JAR`
final class ModernClasses {
  /// Java 6 brought the stack maps.
  private static final int MAJOR_VERSION_MIN = ClassFile.JAVA_6_VERSION;

  private static final int MAJOR_VERSION_OFFSET = 6;

  private static final ClassTransform MODERN =
      (builder, element) -> {
        if (element instanceof ClassFileVersion) {
          builder.withVersion(ClassFile.JAVA_8_VERSION, 0);
        } else {
          builder.with(element);
        }
      };

  private ModernClasses() {}

  public static void main(String[] arguments) throws IOException {
    // The jar is replaced when the file system is closed, all at once.
    try (FileSystem jar = FileSystems.newFileSystem(Path.of(arguments[0]))) {
      Path root = jar.getPath("/");
      // With the constants of the original its code would be taken over as it is.
      ClassFile form =
          ClassFile.of(
              StackMapsOption.GENERATE_STACK_MAPS,
              ConstantPoolSharingOption.NEW_POOL,
              ClassHierarchyResolverOption.of(
                  ClassHierarchyResolver.ofResourceParsing(named -> open(root, named))
                      .orElse(ClassHierarchyResolver.defaultResolver())));
      for (Path old : oldClasses(root)) {
        Files.write(old, form.transformClass(form.parse(old), MODERN));
      }
    }
  }

  private static List<Path> oldClasses(Path root) throws IOException {
    try (Stream<Path> files = Files.walk(root)) {
      return files
          .filter(file -> file.toString().endsWith(".class"))
          .filter(file -> majorVersion(file) < MAJOR_VERSION_MIN)
          .toList();
    }
  }

  private static int majorVersion(Path file) {
    try (InputStream content = Files.newInputStream(file)) {
      byte[] head = content.readNBytes(MAJOR_VERSION_OFFSET + Short.BYTES);
      return ByteBuffer.wrap(head).getShort(MAJOR_VERSION_OFFSET);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static InputStream open(Path root, ClassDesc named) {
    String descriptor = named.descriptorString();
    Path file = root.resolve(descriptor.substring(1, descriptor.length() - 1) + ".class");
    try {
      return Files.exists(file) ? Files.newInputStream(file) : null;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
