package host;

import com.cloudbees.groovy.cps.CpsTransformer;
import com.cloudbees.groovy.cps.sandbox.Untrusted;
import org.codehaus.groovy.ast.ClassCodeExpressionTransformer;
import org.codehaus.groovy.ast.ClassNode;
import org.codehaus.groovy.ast.FieldNode;
import org.codehaus.groovy.ast.MethodNode;
import org.codehaus.groovy.ast.expr.CastExpression;
import org.codehaus.groovy.ast.expr.Expression;
import org.codehaus.groovy.ast.expr.VariableExpression;
import org.codehaus.groovy.ast.stmt.Statement;
import org.codehaus.groovy.classgen.GeneratorContext;
import org.codehaus.groovy.control.SourceUnit;
import org.kohsuke.groovy.sandbox.SandboxTransformer;

/**
 * What SandboxCpsTransformer does, for the pair on Maven Central, where it does not run: groovy-cps 1.31 calls
 * SandboxTransformer.forbidIfFinalizer, which groovy-sandbox 1.19 lacks. CPS code gets the tag by which SandboxInvoker
 * knows it; {@code @NonCPS} methods, fields and constructors go through groovy-sandbox's own transformer.
 */
final class OlderSandbox extends CpsTransformer {
    private final SandboxTransformer sandbox = new SandboxTransformer();
    private ClassCodeExpressionTransformer visitor;

    @Override
    public void call(SourceUnit source, GeneratorContext context, ClassNode type) {
        visitor = sandbox.createVisitor(source, type);
        super.call(source, context, type);
    }

    @Override
    protected void processConstructors(ClassNode type) {
        sandbox.processConstructors(visitor, type);
    }

    @Override
    protected void visitNontransformedMethod(MethodNode method) {
        visitor.visitMethod(method);
    }

    @Override
    protected void visitNontransformedField(FieldNode field) {
        visitor.visitField(field);
    }

    @Override
    protected void visitNontransformedStatement(Statement statement) {
        statement.visit(visitor);
    }

    @Override
    public void visitCastExpression(CastExpression cast) {
        checked(cast.getExpression(), cast.getType(), cast.isIgnoringAutoboxing(), cast.isCoerce(), cast.isStrict());
    }

    @Override
    protected void visitAssignmentOrCast(VariableExpression variable, Expression value) {
        if (SandboxTransformer.mightBePositionalArgumentConstructor(variable)) {
            checked(value, variable.getType(), false, true, false);
        } else {
            super.visitAssignmentOrCast(variable, value);
        }
    }

    private void checked(Expression value, ClassNode type, boolean boxed, boolean coerce, boolean strict) {
        makeNode("sandboxCastOrCoerce", () -> {
            loc(value);
            visit(value);
            literal(type);
            literal(boxed);
            literal(coerce);
            literal(strict);
        });
    }

    @Override
    protected Class getTrustTag() {
        return Untrusted.class;
    }
}
