// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchRule;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/// Who may know whom. The picture is in ARCHITECTURE.md.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class LayerRulesTest {
  private static final String NBD = "io.nbdfleece.nbd..";
  private static final String CACHE = "io.nbdfleece.cache..";
  private static final String FLEECING = "io.nbdfleece.fleecing..";
  private static final String FLEECING_NBD = "io.nbdfleece.fleecing.nbd..";
  private static final String CLI = "io.nbdfleece.cli..";
  private static final String POSIX = "io.nbdfleece.cache.posix..";

  private JavaClasses classes;

  @BeforeAll
  void importClasses() {
    classes =
        new ClassFileImporter()
            .withImportOption(new ImportOption.DoNotIncludeTests())
            .importPackages("io.nbdfleece");
  }

  @Test
  void nbdLibraryKnowsNobody() {
    check(
        noClasses()
            .that()
            .resideInAPackage(NBD)
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(CACHE, FLEECING, CLI));
  }

  @Test
  void cacheKnowsNobody() {
    check(
        noClasses()
            .that()
            .resideInAPackage(CACHE)
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(NBD, FLEECING, CLI));
  }

  @Test
  void engineKnowsNoFrontEnd() {
    check(
        noClasses()
            .that()
            .resideInAPackage(FLEECING)
            .should()
            .dependOnClassesThat()
            .resideInAPackage(CLI));
  }

  @Test
  void onlyOnePackageOfTheEngineKnowsNbd() {
    check(
        noClasses()
            .that()
            .resideInAPackage(FLEECING)
            .and()
            .resideOutsideOfPackage(FLEECING_NBD)
            .should()
            .dependOnClassesThat()
            .resideInAPackage(NBD));
  }

  @Test
  void engineDoesNotDependOnItsNbdPackage() {
    check(
        noClasses()
            .that()
            .resideInAPackage(FLEECING)
            .and()
            .resideOutsideOfPackage(FLEECING_NBD)
            .should()
            .dependOnClassesThat()
            .resideInAPackage(FLEECING_NBD));
  }

  @Test
  void nettyStaysInsideOfTheNbdLibrary() {
    check(
        noClasses()
            .that()
            .resideInAnyPackage(CACHE, FLEECING)
            .should()
            .dependOnClassesThat()
            .resideInAPackage("io.netty.."));
  }

  @Test
  void nettyDoesNotShowInTheSpi() {
    check(
        noClasses()
            .that()
            .resideInAPackage("io.nbdfleece.nbd")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("io.netty.."));
  }

  @Test
  void onlyThePosixPackageCallsTheSystem() {
    check(
        noClasses()
            .that()
            .resideOutsideOfPackage(POSIX)
            .should()
            .dependOnClassesThat()
            .haveFullyQualifiedName("java.lang.foreign.Linker"));
  }

  @Test
  void engineAndStoreKnowNoJsonAndNoCommandLine() {
    check(
        noClasses()
            .that()
            .resideInAnyPackage(NBD, CACHE, FLEECING)
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("tools.jackson..", "picocli.."));
  }

  @Test
  void nobodyUsesJvmInternals() {
    check(
        noClasses()
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("sun.nio..", "jdk.internal.."));
  }

  @Test
  void librariesPrintNothing() {
    check(
        noClasses()
            .that()
            .resideInAnyPackage(NBD, CACHE, FLEECING)
            .should()
            .accessField(System.class, "out")
            .orShould()
            .accessField(System.class, "err"));
  }

  @Test
  void topLevelClassesOfTheLibrariesAreFinal() {
    check(
        classes()
            .that()
            .resideInAnyPackage(NBD, CACHE, FLEECING)
            .and()
            .areTopLevelClasses()
            .and()
            .areNotInterfaces()
            .and()
            .doNotHaveModifier(JavaModifier.ABSTRACT)
            .and()
            .areNotEnums()
            .should()
            .haveModifier(JavaModifier.FINAL));
  }

  @Test
  void modulesAreFreeOfCycles() {
    check(slices().matching("io.nbdfleece.(*)..").should().beFreeOfCycles());
  }

  private void check(ArchRule rule) {
    rule.check(classes);
  }
}
