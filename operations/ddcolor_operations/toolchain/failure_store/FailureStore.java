package ddcolor;

import java.util.Map;
import java.util.Set;

import org.elasticsearch.cluster.metadata.DataStream;
import org.elasticsearch.features.FeatureSpecification;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.index.mapper.Mapper;
import org.elasticsearch.index.mapper.TextFieldMapper;
import org.elasticsearch.plugins.MapperPlugin;
import org.elasticsearch.plugins.Plugin;

/**
 * Stands in for what the failure store needs of the modules "data-streams" and "mapper-extras".
 *
 * The store itself is part of the server; it only waits for the first to declare its feature, and
 * its indices map one field with a type of the second, for which plain text serves as well.
 */
public final class FailureStore extends Plugin implements MapperPlugin {
    @Override
    public Map<String, Mapper.TypeParser> getMappers() {
        return Map.of("match_only_text", TextFieldMapper.PARSER);
    }

    /** The declaration, found by Java's service loader. */
    public static final class Feature implements FeatureSpecification {
        @Override
        public Set<NodeFeature> getFeatures() {
            return Set.of(DataStream.DATA_STREAM_FAILURE_STORE_FEATURE);
        }
    }
}
