package org.jenkinsci.plugins.workflow.libs;

import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;

/** {@code @Library('name@version') _}: accepted and ignored, the library under test is always there. */
@Retention(RetentionPolicy.RUNTIME)
public @interface Library {
    String[] value() default {};
}
