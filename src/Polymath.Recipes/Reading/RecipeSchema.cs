using System.Text.Json.Nodes;

namespace Polymath.Recipes;

/// <summary>Writes the JSON schema of recipes (draft 2020-12), for completion in editors and for forms.</summary>
public static class RecipeSchema
{
    /// <summary>
    /// The schema. Descriptions come from <c>Polymath.Recipes.xml</c> next to the assembly; without that file there are no descriptions.
    /// </summary>
    public static string Write()
    {
        var writer = new SchemaWriter(Documentation.Load());
        var root = new JsonObject { ["$schema"] = "https://json-schema.org/draft/2020-12/schema", ["title"] = "Polymath recipe" };
        foreach (var (key, value) in writer.Record(typeof(Recipe)).ToList())
            root[key] = value?.DeepClone();
        var known = new JsonArray([.. Shape.KeysOf(typeof(Recipe)).Select(key => (JsonNode)key)]);
        root["properties"]!.AsObject()["small"] = new JsonObject
        {
            ["description"] =
                "Settings that differ when the recipe is run small: mappings merge, values and lists replace; stages are found by name.",
            ["type"] = "object",
            ["propertyNames"] = new JsonObject { ["enum"] = known },
        };
        root["$defs"] = writer.Definitions();
        return root.ToJsonString(JsonLayout.Indented);
    }
}
