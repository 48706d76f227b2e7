package host;

import com.cloudbees.groovy.cps.Block;
import com.cloudbees.groovy.cps.Env;
import com.cloudbees.groovy.cps.impl.CpsClosure;
import java.util.List;
import org.codehaus.groovy.runtime.InvokerHelper;

/** A closure of CPS code, as workflow-cps' CpsClosure2 is: what Groovy gives every object goes to the script here. */
public class HostClosure extends CpsClosure {
    public HostClosure(Object owner, Object thisObject, List<String> parameters, Block body, Env capture) {
        super(owner, thisObject, parameters, body, capture);
    }

    public Object sleep(long seconds) {
        return InvokerHelper.invokeMethod(getOwner(), "sleep", seconds);
    }

    public void println() {
        InvokerHelper.invokeMethod(getOwner(), "println", new Object[0]);
    }

    public void println(Object value) {
        InvokerHelper.invokeMethod(getOwner(), "println", new Object[] {value});
    }

    public void print(Object value) {
        InvokerHelper.invokeMethod(getOwner(), "print", new Object[] {value});
    }

    public void printf(String format, Object value) {
        InvokerHelper.invokeMethod(getOwner(), "printf", new Object[] {format, value});
    }
}
