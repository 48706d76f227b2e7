package host;

import java.io.Serializable;
import java.util.AbstractMap.SimpleImmutableEntry;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Iterators that survive a suspension, where Jenkins' own category for them is not at hand. */
public final class SerialIterators {
    private SerialIterators() { }

    public static <E> Iterator<E> iterator(List<E> list) {
        return new Walk<>(new ArrayList<>(list));
    }

    public static <E> Iterator<E> iterator(Set<E> set) {
        return new Walk<>(new ArrayList<>(set));
    }

    public static <K, V> Set<Map.Entry<K, V>> entrySet(Map<K, V> map) {
        Set<Map.Entry<K, V>> entries = new LinkedHashSet<>();
        map.forEach((key, value) -> entries.add(new SimpleImmutableEntry<>(key, value)));
        return entries;
    }

    private static final class Walk<E> implements Iterator<E>, Serializable {
        private final ArrayList<E> items;
        private int at;

        Walk(ArrayList<E> items) {
            this.items = items;
        }

        @Override
        public boolean hasNext() {
            return at < items.size();
        }

        @Override
        public E next() {
            return items.get(at++);
        }
    }
}
